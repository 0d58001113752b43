-- What the steps share: how accounts are read and written. KEYS[1] is what all keys begin with, in one hash slot. Whole
-- numbers below 2^53 throughout, as in rate.rs and budget.rs, whose arithmetic this is.

local UNIT = 60000000
local FLOOR = -9000000000000000
local MOST = 100000000
-- Keys outlive what is in them by this much, in milliseconds.
local SLACK = 60000
-- Reservations of the dead that one step clears away.
local LAPSES = 1000

local function whole(number)
    return string.format('%.0f', number)
end

local function divided_up(number, by)
    local rest = number % by
    return (number - rest) / by + (rest > 0 and 1 or 0)
end

local function key(kind, name)
    return KEYS[1] .. ':' .. kind .. ':' .. name
end

-- Of a rate: how much a minute brings, and the time whose worth a bucket holds. Of a budget: the limit, and the window.
local function claim_at(first)
    return {
        kind = ARGV[first],
        account = ARGV[first + 1],
        amount = tonumber(ARGV[first + 2]),
        most = tonumber(ARGV[first + 3]),
        span = tonumber(ARGV[first + 4]),
    }
end

local rate = {}

function rate.size(claim)
    return math.max(claim.most * claim.span, UNIT)
end

function rate.read(claim, now)
    local size = rate.size(claim)
    local found = redis.call('HMGET', key('rate', claim.account), 'level', 'at')
    if not found[1] then
        return { level = size, at = now }
    end
    local level, at = tonumber(found[1]), tonumber(found[2])
    local passed = math.min(math.max(now - at, 0), UNIT)
    return { level = math.min(level + passed * claim.most, size), at = math.max(at, now) }
end

-- A bucket that nobody knows is full, so a full one can be forgotten.
function rate.write(claim, state)
    local name = key('rate', claim.account)
    local full_in = divided_up(rate.size(claim) - state.level, claim.most)
    redis.call('HSET', name, 'level', whole(state.level), 'at', whole(state.at))
    redis.call('PEXPIRE', name, whole(divided_up(full_in, 1000) + SLACK))
end

-- How long until the claim fits, in microseconds; -1 for never.
function rate.wait(claim, state)
    local size = rate.size(claim)
    if claim.amount > (size - size % UNIT) / UNIT then
        return -1
    end
    return divided_up(math.max(claim.amount * UNIT - state.level, 0), claim.most)
end

local budget = {}

local function keep(name, milliseconds)
    if redis.call('PTTL', name) < milliseconds then
        redis.call('PEXPIRE', name, whole(milliseconds))
    end
end

function budget.write(claim, state, now, lapse)
    local ends = (state.window + 1) * claim.span
    local kept = divided_up(math.max(ends - now, 0) + lapse, 1000) + SLACK
    local name = key('budget', claim.account)
    redis.call('HSET', name, 'window', whole(state.window), 'spent', whole(state.spent), 'reserved', whole(state.reserved))
    keep(name, kept)
end

-- What nobody has settled in time is spent, in the window in which it was set aside.
function budget.read(claim, now)
    local name, held = key('budget', claim.account), key('held', claim.account)
    local found = redis.call('HMGET', name, 'window', 'spent', 'reserved')
    local state = { window = 0, spent = 0, reserved = 0 }
    if found[1] then
        state = { window = tonumber(found[1]), spent = tonumber(found[2]), reserved = tonumber(found[3]) }
    end
    local dead = redis.call('ZRANGEBYSCORE', held, '-inf', whole(now), 'LIMIT', 0, LAPSES)
    for _, member in ipairs(dead) do
        local amount, window = string.match(member, '^%d+|(%d+)|(%d+)$')
        amount = tonumber(amount)
        state.reserved = math.max(state.reserved - amount, 0)
        if tonumber(window) == state.window then
            state.spent = state.spent + amount
        end
        redis.call('ZREM', held, member)
    end
    if #dead > 0 then
        budget.write(claim, state, now, 0)
    end
    local window = (now - now % claim.span) / claim.span
    if window > state.window then
        state.window, state.spent = window, 0
    end
    return state
end

function budget.wait(claim, state, now)
    if claim.amount > claim.most then
        return -1
    end
    if math.max(claim.most - state.spent - state.reserved, 0) >= claim.amount then
        return 0
    end
    return math.max((state.window + 1) * claim.span - now, 1)
end

local function member(id, amount, window)
    return whole(id) .. '|' .. whole(amount) .. '|' .. whole(window)
end
