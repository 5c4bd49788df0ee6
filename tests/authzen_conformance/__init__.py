"""The certification scenario of AuthZEN 1.0 as a program, for any server: `python -m tests.authzen_conformance`.

Written from certification/authorization-api-1_0-scenario.md of openid/authzen at e287920; cases carry its section
numbers. The server must hold the scenario's fixture; ours is in `fixture/`.
"""
