-- id, record, claimable, lent, finished, key, fingerprint, capacity, tenant -> {1, '', ''}, {0, the id and the record of
-- the job that stands for it}, {-1, '', ''} for an id that exists, {-2, '', ''} for a full queue
local id, record, claimable, is_lent, done = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key, fingerprint, capacity, tenant = ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9]
for _, index in ipairs({ { keys, key }, { open, fingerprint } }) do
    local other = index[2] ~= '' and redis.call('HGET', index[1], index[2])
    local known = other and redis.call('HGET', job(other), 'record')
    if known then
        return { 0, other, known }
    end
end
if redis.call('EXISTS', job(id)) == 1 then
    return { -1, '', '' }
end
if redis.call('ZCARD', waiting) + redis.call('ZCARD', lent) >= capacity then
    return { -2, '', '' }
end
-- Among those due at the same time Redis sorts by name: the number of arrival comes first in it.
local member = string.format('%020d', redis.call('INCR', arrivals)) .. ':' .. id
redis.call('HSET', job(id), 'version', 1, 'key', key, 'tenant', tenant)
if key ~= '' then
    redis.call('HSET', keys, key, id)
end
if fingerprint ~= '' then
    redis.call('HSET', open, fingerprint, id)
    redis.call('HSET', job(id), 'fingerprint', fingerprint)
end
file(id, member, record, claimable, is_lent, done, fingerprint)
return { 1, '', '' }
