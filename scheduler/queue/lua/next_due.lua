-- When a worker may find something to lease.
-- KEYS     1 root
-- returns  grid ms of the next waiting job; 0 while ready jobs wait; '' without any
if redis.call('ZCARD', STATE .. 'ready') > 0 then return '0' end
local waiting = redis.call('ZRANGE', WAITING, 0, 0, 'WITHSCORES')[2]
local retry = redis.call('ZRANGE', BACKOFF, 0, 0, 'WITHSCORES')[2]
if not waiting and not retry then return '' end
local due = tonumber(waiting or '') or math.huge
if retry then due = math.min(due, grid_time(tonumber(retry))) end
return int(due)
