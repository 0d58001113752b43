-- id, version, claimable, finished, since -> 1, or 0 when the job is not at that version any more
local id = ARGV[1]
local found = redis.call('HMGET', job(id), 'version', 'member', 'record', 'fingerprint')
if found[1] ~= ARGV[2] then
    return 0
end
redis.call('HINCRBY', job(id), 'version', 1)
redis.call('HSET', job(id), 'unreadable', ARGV[5])
-- It stands for nobody's work any more, whether it is buried or not.
if found[4] and redis.call('HGET', open, found[4]) == id then
    redis.call('HDEL', open, found[4])
end
file(id, found[2], found[3], ARGV[3], '1', ARGV[4], '')
return 1
