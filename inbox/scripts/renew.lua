-- Extend a lease.
--
-- KEYS[1] lease:{who} or lease:{duty}
-- ARGV[1] token of the lease
-- ARGV[2] new length in milliseconds
--
-- Returns 1 extended, 0 the lease is lost.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
