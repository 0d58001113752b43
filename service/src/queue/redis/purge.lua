-- before, how many at most -> how many were forgotten
local gone = redis.call('ZRANGEBYSCORE', finished, '-inf', '(' .. ARGV[1], 'LIMIT', 0, ARGV[2])
for _, id in ipairs(gone) do
    local found = redis.call('HMGET', job(id), 'key', 'member')
    if found[1] and found[1] ~= '' and redis.call('HGET', keys, found[1]) == id then
        redis.call('HDEL', keys, found[1])
    end
    if found[2] then
        redis.call('ZREM', waiting, found[2])
        redis.call('ZREM', lent, found[2])
    end
    redis.call('DEL', job(id))
    redis.call('ZREM', finished, id)
end
return #gone
