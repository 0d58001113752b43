-- Takes what is claimed out of all accounts, or out of none.
-- ARGV: microseconds until it lapses (0: it is not settled), microseconds of patience, claims; for each its kind, account,
-- amount, most and span. Returns 1, the id, microseconds to wait; or 0, the claim that does not fit, microseconds until it
-- does (-1: never).

local now = now_us()
local lapse, patience, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local claims, states, after, worst, longest = {}, {}, 0, nil, 0

for n = 1, count do
    local claim = claim_at(4 + (n - 1) * 5)
    local is_rate = claim.kind == 'rate'
    claims[n] = claim
    states[n] = is_rate and rate.read(claim, now) or budget.read(claim, now)
    local wait = is_rate and rate.wait(claim, states[n]) or budget.wait(claim, states[n], now)
    if wait < 0 then
        return { 0, n - 1, -1 }
    end
    if wait > (is_rate and patience or 0) and wait > longest then
        worst, longest = n - 1, wait
    end
    after = math.max(after, wait)
end
if worst then
    return { 0, worst, longest }
end

local ids = KEYS[1] .. ':ids'
local id = redis.call('INCR', ids)
redis.call('PEXPIRE', ids, whole(divided_up(2 * lapse, 1000) + 86400000))
for n = 1, count do
    local claim, state = claims[n], states[n]
    if claim.kind == 'rate' then
        state.level = state.level - claim.amount * UNIT
        rate.write(claim, state)
    else
        state.reserved = state.reserved + claim.amount
        budget.write(claim, state, now, lapse)
        local held = key('held', claim.account)
        redis.call('ZADD', held, whole(now + lapse), member(id, claim.amount, state.window))
        keep(held, divided_up(lapse, 1000) + SLACK)
    end
end
if lapse > 0 then
    redis.call('SET', key('open', whole(id)), whole(now + lapse), 'PX', whole(divided_up(lapse, 1000) + SLACK))
end
return { 1, id, after }
