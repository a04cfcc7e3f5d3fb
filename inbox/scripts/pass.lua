-- Decide whether a send may go ahead through some circuits.
--
-- KEYS[2i-1] circuit of place i
-- KEYS[2i]   its probe
-- ARGV[1] milliseconds between two probes of a circuit that does not say so itself
--
-- A probe is taken of all open circuits, or of none: a send that one of them stops tests no other.
--
-- Returns one of:
--   {1, i, ...}                  send; it is the probe of the open circuits i
--   {0, milliseconds, i, why}    do not send: circuit i has its next probe then, and stops the send longest
local open = {}
local longest, at, why = 0, 0, ''
for i = 1, #KEYS / 2 do
  local reason = redis.call('HGET', KEYS[2 * i - 1], 'reason')
  if reason then
    table.insert(open, i)
    local left = redis.call('PTTL', KEYS[2 * i])
    if left > longest then longest, at, why = left, i, reason end
  end
end
if at > 0 then return {0, longest, at, why} end
for _, i in ipairs(open) do
  local pause = redis.call('HGET', KEYS[2 * i - 1], 'pause') or ARGV[1]
  redis.call('SET', KEYS[2 * i], '1', 'PX', pause)
end
return {1, unpack(open)}
