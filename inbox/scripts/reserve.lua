-- Set money aside for one reply, before it is thought and sent.
--   KEYS purse:epoch purse:count purse:day:{day} purse:month:{month}
--   ARGV who, turn, for models, for messages, price of a last line, why it is urgent or nothing,
--        caps of models: person and day, day, month; caps of messages: the same; -1 is none. Seconds that the day's and the month's hash live;
--        1: do not wait while it is counted what was spent
-- Fields of a day: model sms model:{who} sms:{who} last:{who} urgent:{why}:{who} beyond; of a month: model sms beyond.
-- Returns {-1} where that has to be waited for; {leave, set aside for models, set aside for messages, epoch, 1 while it is counted};
-- leave: 0 silence, 1 a last line, 2 go.
local epoch = redis.call('GET', KEYS[1])
local counting = epoch and 0 or 1
if not epoch then
  epoch = ARGV[15] == '1' and redis.call('HGET', KEYS[2], 'epoch')
  if not epoch then return {-1} end
end
local day, month, who, turn = KEYS[3], KEYS[4], ARGV[1], ARGV[2]
local caps = {model = {ARGV[7], ARGV[8], ARGV[9]}, sms = {ARGV[10], ARGV[11], ARGV[12]}}
local function spent(hash, field) return tonumber(redis.call('HGET', hash, field) or 0) end
-- which of the three caps leave no room
local function full(kind, amount)
  local at = {spent(day, kind .. ':' .. who), spent(day, kind), spent(month, kind)}
  local none, which = true, {}
  for i = 1, 3 do
    local cap = tonumber(caps[kind][i])
    which[i] = cap >= 0 and at[i] + amount > cap
    none = none and not which[i]
  end
  return not none, which
end
local function set_aside(kind, amount)
  if amount == 0 then return end
  redis.call('HINCRBY', day, kind, amount)
  redis.call('HINCRBY', day, kind .. ':' .. who, amount)
  redis.call('HINCRBY', month, kind, amount)
  redis.call('EXPIRE', day, ARGV[13])
  redis.call('EXPIRE', month, ARGV[14])
end
local for_models, for_messages, last_line = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local unlimited = ARGV[10] == '-1' and ARGV[11] == '-1' and ARGV[12] == '-1'
-- while it is counted the sums are too low to be held against a cap
if for_messages == 0 or counting == 1 and unlimited or counting == 0 and not full('sms', for_messages) then
  set_aside('sms', for_messages)
  if counting == 1 or full('model', for_models) then for_models = 0 end
  set_aside('model', for_models)
  return {2, for_models, for_messages, epoch, counting}
end
-- somebody in danger is answered once a day whatever it costs, and so is who asks for help
if ARGV[6] ~= '' then
  local before = redis.call('HGET', day, 'urgent:' .. ARGV[6] .. ':' .. who)
  if not before or before == turn then
    redis.call('HSET', day, 'urgent:' .. ARGV[6] .. ':' .. who, turn)
    set_aside('sms', for_messages)
    redis.call('EXPIRE', day, ARGV[13])
    return {2, 0, for_messages, epoch, counting}
  end
end
if counting == 1 then return {-1} end
local last = redis.call('HGET', day, 'last:' .. who)
if last == turn then return {1, 0, 0, epoch, 0} end
if last then return {0, 0, 0, epoch, 0} end
-- a last line goes over a cap of all people once, and never again while that cap lasts
local over, which = full('sms', last_line)
if over then
  if which[2] and redis.call('HEXISTS', day, 'beyond') == 1 then return {0, 0, 0, epoch, 0} end
  if which[3] and redis.call('HEXISTS', month, 'beyond') == 1 then return {0, 0, 0, epoch, 0} end
  if which[2] then redis.call('HSET', day, 'beyond', turn) end
  if which[3] then redis.call('HSET', month, 'beyond', turn) end
end
redis.call('HSET', day, 'last:' .. who, turn)
set_aside('sms', last_line)
return {1, 0, last_line, epoch, 0}
