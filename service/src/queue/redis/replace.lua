-- id, version, record, claimable, lent, finished, fingerprint -> 1, or 0 when the job is not at that version any more
local id = ARGV[1]
local found = redis.call('HMGET', job(id), 'version', 'member')
if found[1] ~= ARGV[2] then
    return 0
end
redis.call('HINCRBY', job(id), 'version', 1)
redis.call('HDEL', job(id), 'unreadable')
file(id, found[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7])
return 1
