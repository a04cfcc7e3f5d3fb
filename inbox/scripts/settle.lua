-- Correct what was set aside by what was spent.    KEYS purse:epoch purse:day:{day} purse:month:{month}
--   ARGV who, epoch at which it was set aside, difference for models, difference for messages
-- Where Redis was emptied since, what was set aside is gone already.
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
for i, kind in ipairs({'model', 'sms'}) do
  local difference = tonumber(ARGV[2 + i])
  if difference ~= 0 then
    redis.call('HINCRBY', KEYS[2], kind, difference)
    redis.call('HINCRBY', KEYS[2], kind .. ':' .. ARGV[1], difference)
    redis.call('HINCRBY', KEYS[3], kind, difference)
  end
end
return 1
