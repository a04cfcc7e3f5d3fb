-- Add a page of the journal to the totals.
--
-- KEYS[1] purse:epoch
-- KEYS[2] purse:count
-- KEYS[3] purse:day:{day}
-- KEYS[4] purse:month:{month}
-- ARGV[1] epoch of the recount
-- ARGV[2] journal cursor at which this page begins
-- ARGV[3] journal cursor of the next page
-- ARGV[4] 1 if this is the last page, else 0
-- ARGV[5] id of the process that counts
-- ARGV[6] milliseconds without a page after which that process counts as dead
-- ARGV[7] seconds for which the day's hash is kept
-- ARGV[8] seconds for which the month's hash is kept
-- ARGV[9] cap for all messages of the day; -1: none
-- ARGV[10] cap for all messages of the month; -1: none
-- ARGV[11] number of field and amount pairs for the day
-- ARGV[12] number of field and amount pairs for the month
-- ARGV[13...] these pairs: the day's, the month's; then a pair of field and turn for each last line
--
-- Returns 1 added, 0 nothing changed because another process has continued from that cursor.
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
    if cap >= 0 and tonumber(redis.call('HGET', hash, 'sms') or 0) > cap then
      redis.call('HSETNX', hash, 'beyond', 'counted')
    end
  end
else
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('HSET', KEYS[2], 'cursor', ARGV[3], 'counter', ARGV[5], 'until', now + ARGV[6])
end
redis.call('EXPIRE', day, ARGV[7])
redis.call('EXPIRE', month, ARGV[8])
return 1
