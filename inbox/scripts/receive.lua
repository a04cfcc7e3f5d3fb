-- A delivery report becomes durable; a drain is rung for, unless one was within the last second and has not begun.
--   KEYS receipts receipts:rung queue    ARGV report, doorbell, milliseconds
local id = redis.call('XADD', KEYS[1], '*', 'report', ARGV[1])
if redis.call('SET', KEYS[2], '1', 'NX', 'PX', ARGV[3]) then
  redis.call('LPUSH', KEYS[3], ARGV[2])
end
return id
