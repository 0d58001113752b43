-- Gives back what was taken and not used. Once: who settles twice, or when it has lapsed, changes nothing.
-- ARGV: id, claims; for each its kind, account, amount, most and span, and what was used of it.

local now = now_us()
local id, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local open = key('open', whole(id))
local lapses = redis.call('GET', open)
redis.call('DEL', open)
if not lapses or tonumber(lapses) <= now then
    return 0
end
for n = 1, count do
    local first = 3 + (n - 1) * 6
    local claim, used = claim_at(first), tonumber(ARGV[first + 5])
    if claim.kind == 'rate' then
        local state = rate.read(claim, now)
        local level = state.level + (claim.amount - math.min(used, MOST)) * UNIT
        state.level = math.max(math.min(level, rate.size(claim)), FLOOR)
        rate.write(claim, state)
    else
        local state = budget.read(claim, now)
        local held = key('held', claim.account)
        local members = redis.call('ZRANGEBYSCORE', held, lapses, lapses)
        for _, each in ipairs(members) do
            if string.match(each, '^(%d+)|') == whole(id) then
                redis.call('ZREM', held, each)
                state.reserved = math.max(state.reserved - claim.amount, 0)
                state.spent = state.spent + used
            end
        end
        budget.write(claim, state, now, 0)
    end
end
return 1
