-- Give the leader's lock up, if it is one's own.
-- KEYS     1 root  2 the lock
-- ARGV     1 holder
-- returns  1 where it was
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[2])
