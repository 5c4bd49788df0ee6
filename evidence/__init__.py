"""What happened: records, journalled with what they record, then sealed into one Merkle log a tenant."""
