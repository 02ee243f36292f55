-- Mark an empty namespace as being of this schema, kept by this server.
-- KEYS     1 root
-- ARGV     1 schema version
-- returns  the schema version that the namespace has
if redis.call('SETNX', SCHEMA, ARGV[1]) == 1 then
  redis.call('HSET', SERVER, 'run_id', string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), 'seen', 0)
end
return tonumber(redis.call('GET', SCHEMA))
