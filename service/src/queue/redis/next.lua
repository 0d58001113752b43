-- now -> {id, version, record, tenant, since when it cannot be read or ''} of the job that has been due for the longest,
-- or {}
local function head(set)
    local found = redis.call('ZRANGEBYSCORE', set, '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, 1)
    return found[1], tonumber(found[2])
end
for _ = 1, 64 do
    local a, due = head(waiting)
    local b, out = head(lent)
    if not a and not b then
        return {}
    end
    local first = a
    if not a or (b and (out < due or (out == due and b < a))) then
        first = b
    end
    local id = first:sub(22)
    local found = redis.call('HMGET', job(id), 'version', 'record', 'tenant', 'unreadable')
    if found[1] and found[2] then
        return { id, found[1], found[2], found[3] or '', found[4] or '' }
    end
    -- Its record was taken away from outside: there is nothing to run.
    redis.call('ZREM', waiting, first)
    redis.call('ZREM', lent, first)
end
return {}
