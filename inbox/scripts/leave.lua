-- Release the lease on a duty, such as lease:#reconcile.
--
-- KEYS[1] lease:{duty}
-- ARGV[1] token of the lease
--
-- Returns 1 released, 0 the lease is lost.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
