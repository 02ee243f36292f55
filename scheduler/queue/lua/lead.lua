-- Take the leader's lock, or keep it.
-- KEYS     1 root  2 the lock
-- ARGV     1 holder  2 time to live in ms
-- returns  1 for the holder, 0 while another one leads
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return 1
