"""Tests mirror the rooms; journeys, races, faults and browser hold whole stories."""
