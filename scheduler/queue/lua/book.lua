-- Append a receipt to the ledger and mark its job as booked. A revision that is already there is not repeated.
-- KEYS     1 root
-- ARGV     1 job id  2 revision  3 finished, grid ms  4 receipt (JSON)  5 grams, '' where unknown
-- returns  1 for new, 0 for a revision that is known
local id, revision = ARGV[1], tonumber(ARGV[2])
local last = redis.call('HGET', RECEIPT_LAST, id)
local new = not last or tonumber(string.match(last, '^%d+')) < revision
if new then
  local entry = redis.call('XADD', LEDGER, '*', 'job', id, 'receipt', ARGV[4])
  redis.call('HSET', RECEIPT_LAST, id, revision .. ':' .. entry)
  redis.call('ZADD', RECEIPTS, ARGV[3], id)
end
redis.call('ZREM', UNBOOKED, id)
local job = redis.call('HMGET', JOB .. id, 'state', 'ended_real')
if job[1] and new then redis.call('HSET', JOB .. id, 'emitted_g', ARGV[5]) end -- for listings
if job[1] and job[1] ~= 'failed' then redis.call('ZADD', BOOKED, job[2], id) end
return new and 1 or 0
