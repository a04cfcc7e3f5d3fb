-- Add a page of the journal to the sums.    KEYS purse:epoch purse:count purse:day:{day} purse:month:{month}
--   ARGV epoch, cursor at which the page begins, cursor of the next, 1 if there is none, who counts, milliseconds after which he is taken to be
--        dead, seconds that the day's and the month's hash live, caps of messages: day, month; number of the day's sums, of the month's sums;
--        then field and amount of each of them, then field and turn of each last line
-- Returns 0, and nothing is changed, where somebody else has gone on from that cursor.
local epoch, cursor = unpack(redis.call('HMGET', KEYS[2], 'epoch', 'cursor'))
if epoch ~= ARGV[1] or cursor ~= ARGV[2] then return 0 end
local day, month = KEYS[3], KEYS[4]
local days, months = tonumber(ARGV[11]), tonumber(ARGV[12])
for i = 13, #ARGV, 2 do
  local number = (i - 13) / 2
  if number < days then
    redis.call('HINCRBY', day, ARGV[i], ARGV[i + 1])
  elseif number < days + months then
    redis.call('HINCRBY', month, ARGV[i], ARGV[i + 1])
  else
    redis.call('HSETNX', day, ARGV[i], ARGV[i + 1])
  end
end
if ARGV[4] == '1' then
  redis.call('SET', KEYS[1], epoch)
  redis.call('DEL', KEYS[2])
  for i, hash in ipairs({day, month}) do
    local cap = tonumber(ARGV[8 + i])
    if cap >= 0 and tonumber(redis.call('HGET', hash, 'sms') or 0) > cap then redis.call('HSETNX', hash, 'beyond', 'counted') end
  end
else
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('HSET', KEYS[2], 'cursor', ARGV[3], 'counter', ARGV[5], 'until', now + ARGV[6])
end
redis.call('EXPIRE', day, ARGV[7])
redis.call('EXPIRE', month, ARGV[8])
return 1
