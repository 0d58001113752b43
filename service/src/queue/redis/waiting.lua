-- tenant -> how many of its jobs wait
local own, count = of(ARGV[1]), 0
for _, member in ipairs(redis.call('SMEMBERS', own)) do
    if redis.call('ZSCORE', waiting, member) then
        count = count + 1
    else
        -- Filed by an older version, or its record was taken away from outside: who waits is `waiting`'s to say.
        redis.call('SREM', own, member)
    end
end
return count
