"""What the benches share: processes and what they cost, the origin, the proxies, wrk, tables."""
