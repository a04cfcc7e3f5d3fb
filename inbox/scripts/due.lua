-- List people who are due and not being served, oldest first, and postpone each of them.
--
-- KEYS[1] agenda
-- KEYS[2] epoch
-- ARGV[1] maximum number of people
-- ARGV[2] milliseconds until a listed person is due again
-- ARGV[3] prefix of lease keys
-- ARGV[4] epoch to set if there is none
-- Not in KEYS: lease:{who} of each person looked at, which is only read.
--
-- People who are being served keep their place on the agenda and are skipped:
-- they must not hide the people behind them.
--
-- Returns {1 if Redis was emptied since the last call, else 0; who, who, ...}.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local emptied = redis.call('SET', KEYS[2], ARGV[4], 'NX') and 1 or 0
local answer, most, served = {emptied}, tonumber(ARGV[1]), 0
while #answer <= most do
  local listed = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', served, most)
  if #listed == 0 then break end
  for _, who in ipairs(listed) do
    if redis.call('EXISTS', ARGV[3] .. who) == 1 then
      served = served + 1
    elseif #answer <= most then
      redis.call('ZADD', KEYS[1], now + ARGV[2], who)
      table.insert(answer, who)
    end
  end
end
return answer
