-- End an attempt. Its measurement is kept once, whatever its fence: what was consumed was consumed.
-- KEYS     1 root
-- ARGV     1 job id  2 fence  3 attempt  4 worker id  5 outcome  6 measurement (JSON)  7 started, grid  8 ended, grid
--          9 exit code or ''  10 error  11 backoff_ms  12 most lost attempts
-- returns  1 where the attempt held the job, 0 where a newer attempt does or the job is unknown or has ended;
--          a repeat returns what the first call did
local id, fence, outcome, ended = ARGV[1], tonumber(ARGV[2]), ARGV[5], tonumber(ARGV[8])
local before = redis.call('HGET', MEASUREMENTS .. id, ARGV[2])
if before then return tonumber(string.sub(before, 1, 1)) end
local job = fetch(id)
if not job then return 0 end
local real = server_time()
if fence > job.fence and (is_waiting(job) or is_active(job)) then
  adopt(job, fence, tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[7]))
end
if fence ~= job.fence or not is_active(job) then
  redis.call('HSET', MEASUREMENTS .. id, ARGV[2], '0' .. ARGV[6])
  if not (is_waiting(job) or is_active(job)) then redis.call('ZADD', UNBOOKED, real, id) end -- its receipt is revised
  return 0
end

redis.call('HSET', MEASUREMENTS .. id, ARGV[2], '1' .. ARGV[6])
redis.call('HSET', JOB .. id, 'started_at', ARGV[7], 'exit_code', ARGV[9], 'error', ARGV[10])
redis.call('ZREM', LEASES, id)

local function is_retried()
  local ask = cjson.decode(redis.call('HGET', JOB .. id, 'ask'))
  if redis.call('HINCRBY', JOB .. id, 'failed_attempts', 1) >= ask.max_attempts then return false end
  for _, name in ipairs(ask.retry_on) do
    if name == outcome then return true end
  end
  return false
end

if outcome == 'succeeded' then
  end_job(job, 'succeeded', 'succeeded', ended, real)
elseif outcome == 'cancelled' or (job.cancel and outcome ~= 'lost') then
  end_job(job, 'cancelled', 'cancelled', ended, real)
elseif outcome == 'lost' then
  lose(job, ended, real, tonumber(ARGV[12]))
elseif outcome == 'checkpointed' then
  -- Until it is planned again it waits for its latest safe start, which allows for the whole job: safe, if early.
  job.planned = nil
  enter(job, 'scheduled', 'planned', '', 'planned_end', '', 'reason', 'Paused', 'worker_id', '')
  await_due(job)
  watch_deadline(job)
  announce('checkpointed', job, ended)
elseif is_retried() then
  local retry_at = real + tonumber(ARGV[11])
  enter(job, 'pending', 'planned', '', 'planned_end', '', 'reason', 'RetryBackoff', 'retry_at', retry_at, 'worker_id', '')
  redis.call('ZADD', BACKOFF, retry_at, id)
  watch_deadline(job)
  announce('retried', job, ended, outcome)
  wake()
else
  end_job(job, 'failed', 'failed', ended, real, outcome)
end
if redis.call('ZCARD', STATE .. 'ready') > 0 then wake() end -- its capacity is free for those in line
return 1
