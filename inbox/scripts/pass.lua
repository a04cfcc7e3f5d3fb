-- Decide whether a send may go ahead.
--
-- KEYS[1] circuit
-- KEYS[2] circuit:probe
-- ARGV[1] milliseconds between two probes
--
-- Returns one of:
--   {1}                                          the circuit is closed: send
--   {2}                                          the circuit is open, and this send is the probe
--   {0, milliseconds until the next probe, why}  the circuit is open: do not send
local reason = redis.call('HGET', KEYS[1], 'reason')
if not reason then return {1} end
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[1]) then return {2} end
return {0, redis.call('PTTL', KEYS[2]), reason}
