-- What all steps share: where things are, and how a job is filed. KEYS[1] is the queue's name in braces, so that a
-- cluster keeps all of it on one node.
local base = KEYS[1]
local waiting, lent, finished = base .. ':waiting', base .. ':lent', base .. ':finished'
local keys, open, arrivals = base .. ':keys', base .. ':open', base .. ':arrivals'

local function job(id)
    return base .. ':job:' .. id
end

-- The jobs of a tenant that wait.
local function of(tenant)
    return base .. ':tenant:' .. tenant
end

-- Where one is absent the caller sends an empty text.
local function file(id, member, record, claimable, is_lent, done, fingerprint)
    redis.call('HSET', job(id), 'record', record, 'member', member)
    redis.call('ZREM', waiting, member)
    redis.call('ZREM', lent, member)
    if claimable ~= '' then
        redis.call('ZADD', is_lent == '1' and lent or waiting, claimable, member)
    end
    local tenant = redis.call('HGET', job(id), 'tenant')
    if tenant then
        redis.call(claimable ~= '' and is_lent ~= '1' and 'SADD' or 'SREM', of(tenant), member)
    end
    if done ~= '' then
        redis.call('ZADD', finished, done, id)
        if fingerprint ~= '' and redis.call('HGET', open, fingerprint) == id then
            redis.call('HDEL', open, fingerprint)
        end
    end
end
