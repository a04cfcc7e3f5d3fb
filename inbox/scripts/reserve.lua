-- Set money aside for one reply, before the model is called and the message is sent.
--
-- KEYS[1] purse:epoch
-- KEYS[2] purse:count
-- KEYS[3] purse:day:{day}
-- KEYS[4] purse:month:{month}
-- ARGV[1] who
-- ARGV[2] turn; a repeated call for the same turn gets the same last line and the same urgent reply, and sets aside
--         for its messages only what is missing; empty: no messages
-- ARGV[3] most that models may cost
-- ARGV[4] most that messages may cost
-- ARGV[5] price of a last line
-- ARGV[6] why the reply is urgent, such as help; empty: it is not
-- ARGV[7...9] caps for models: person and day, day, month; -1: none
-- ARGV[10...12] caps for messages: the same
-- ARGV[13] seconds for which the day's hash is kept
-- ARGV[14] seconds for which the month's hash is kept
-- ARGV[15] 1: do not wait for a recount in progress
--
-- Fields of a day: model sms model:{who} sms:{who} aside:{turn}:{who} last:{who} urgent:{why}:{who} beyond.
-- Fields of a month: model sms beyond.
--
-- Returns {-1} if the caller has to wait for the recount.
-- Otherwise returns
-- {verdict, set aside for models, set aside for messages, epoch, 1 while a recount is in progress else 0}.
-- The verdict is 0 silence, 1 a last line, 2 go, 3 go beyond a cap.
--
-- What a worker that died or failed had set aside for a turn's messages is taken over: the turn is answered once.
-- What it had set aside for models is not: it may be spent.
local epoch = redis.call('GET', KEYS[1])
local counting = epoch and 0 or 1
if not epoch then
  epoch = ARGV[15] == '1' and redis.call('HGET', KEYS[2], 'epoch')
  if not epoch then return {-1} end
end
local day, month, who, turn = KEYS[3], KEYS[4], ARGV[1], ARGV[2]
local caps = {model = {ARGV[7], ARGV[8], ARGV[9]}, sms = {ARGV[10], ARGV[11], ARGV[12]}}
local function spent(hash, field) return tonumber(redis.call('HGET', hash, field) or 0) end
-- whether the amount exceeds any of the three caps, and which of them
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
local aside = 'aside:' .. turn .. ':' .. who
local missing = math.max(0, for_messages - spent(day, aside))
local function set_aside_messages()
  if missing > 0 then redis.call('HINCRBY', day, aside, missing) end
  set_aside('sms', missing)
end
local unlimited = ARGV[10] == '-1' and ARGV[11] == '-1' and ARGV[12] == '-1'
-- during a recount the totals are too low to be compared with a cap
local urgent = 'urgent:' .. ARGV[6] .. ':' .. who
local before = redis.call('HGET', day, urgent)
local has_room = missing == 0 or counting == 1 and unlimited or counting == 0 and not full('sms', missing)
if has_room and before ~= turn then
  set_aside_messages()
  if counting == 1 or full('model', for_models) then for_models = 0 end
  set_aside('model', for_models)
  return {2, for_models, for_messages, epoch, counting}
end
-- an urgent reply goes out whatever it costs, once a day for each reason
if ARGV[6] ~= '' and (not before or before == turn) then
  redis.call('HSET', day, urgent, turn)
  set_aside_messages()
  redis.call('EXPIRE', day, ARGV[13])
  return {3, 0, for_messages, epoch, counting}
end
if counting == 1 then return {-1} end
local last = redis.call('HGET', day, 'last:' .. who)
if last == turn then return {1, 0, 0, epoch, 0} end
if last then return {0, 0, 0, epoch, 0} end
-- a last line may exceed a cap for all people once, and not again in the same day or month
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
