-- Count again what was spent, after Redis was emptied.    KEYS purse:epoch purse:day:{day} purse:month:{month}
--   ARGV epoch, seconds that the day's and the month's hash live, number of the day's fields, then fields and values of both
-- Returns 0, and nothing is changed, where somebody was faster.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX') then return 0 end
redis.call('DEL', KEYS[2], KEYS[3])
local fields = tonumber(ARGV[4])
for i = 5, #ARGV, 2 do
  redis.call('HSET', i < 5 + 2 * fields and KEYS[2] or KEYS[3], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return 1
