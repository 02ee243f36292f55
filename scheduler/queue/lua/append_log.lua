-- Append to a job's tail and cut its beginning. Output of an attempt that has been replaced is dropped.
-- KEYS     1 root
-- ARGV     1 job id  2 fence  3 data  4 most bytes  5 time to live in ms
--          6 1 where older output was left out before this
-- returns  1 where it was kept
local stream, meta = LOG .. ARGV[1], LOG_META .. ARGV[1]
local fence = tonumber(redis.call('HGET', meta, 'fence') or 0)
if tonumber(ARGV[2]) < fence then return 0 end
redis.call('XADD', stream, '*', 'd', ARGV[3])
redis.call('HSET', meta, 'fence', ARGV[2])
if ARGV[6] == '1' then redis.call('HSET', meta, 'cut', 1) end
local kept = redis.call('HINCRBY', meta, 'bytes', #ARGV[3])
while kept > tonumber(ARGV[4]) do
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', stream, oldest[1])
  redis.call('HSET', meta, 'cut', 1)
  kept = redis.call('HINCRBY', meta, 'bytes', -#oldest[2][2])
end
redis.call('PEXPIRE', stream, ARGV[5])
redis.call('PEXPIRE', meta, ARGV[5])
return 1
