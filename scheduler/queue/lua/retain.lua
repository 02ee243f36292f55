-- Delete what is kept of jobs that ended long ago and have their receipt. Dead letters stay.
-- KEYS     1 root
-- ARGV     1 age in ms  2 most jobs
-- returns  how many were deleted
local real = server_time()
local deleted = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', BOOKED, '-inf', real - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])) do
  if not redis.call('ZSCORE', UNBOOKED, id) then -- else a late measurement waits for its receipt to be revised
    local f = redis.call('HMGET', JOB .. id, 'state', 'project', 'array', 'sha')
    redis.call('ZREM', STATE .. f[1], id)
    redis.call('ZREM', PROJECT .. f[2], id)
    if f[3] ~= '' then redis.call('ZREM', ARRAY .. f[3], id) end
    if redis.call('HINCRBY', SPEC .. f[4], 'refs', -1) <= 0 then redis.call('DEL', SPEC .. f[4]) end
    redis.call('ZREM', BOOKED, id)
    redis.call('DEL', JOB .. id, MEASUREMENTS .. id, LOG .. id, LOG_META .. id)
    deleted = deleted + 1
  end
end
return deleted
