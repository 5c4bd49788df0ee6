"""`make demo`: the main job on real input, with the approvers played by you or, unattended, by this program."""
