-- Keep what an attempt tells of its progress. What an older attempt tells is dropped.
-- KEYS     1 root
-- ARGV     1 job id  2 fence  3 progress, JSON  4 time to live in ms
-- returns  1 where it was kept
local key = PROGRESS .. ARGV[1]
local fence = tonumber(redis.call('HGET', key, 'fence') or 0)
if tonumber(ARGV[2]) < fence then return 0 end
redis.call('HSET', key, 'fence', ARGV[2], 'json', ARGV[3])
redis.call('PEXPIRE', key, ARGV[4])
return 1
