-- -> {waiting, lent, when the first of those who wait is due, or ''}
local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
return { redis.call('ZCARD', waiting), redis.call('ZCARD', lent), first[2] or '' }
