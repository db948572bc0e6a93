"""What of a network still moves in a region, as sparse rows: what SAT and its relatives are asked about."""
