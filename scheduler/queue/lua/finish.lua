-- End attempts, each by itself. A measurement is kept once, whatever its fence: what was consumed was consumed.
-- KEYS     1 root
-- ARGV     1 backoff_ms  2 most lost attempts; then for each attempt: measurement (JSON), error, and lines of: job id,
--          fence, attempt, worker id, outcome, started (grid), ended (grid), exit code or ''
-- returns  for each: 1 where the attempt held its job, 0 where a newer attempt does or the job is unknown or has ended;
--          a repeat returns what the first call did
local backoff_ms, most_lost = tonumber(ARGV[1]), tonumber(ARGV[2])
local real = server_time()
local freed = false

local function is_retried(job, outcome)
  local ask = cjson.decode(redis.call('HGET', JOB .. job.id, 'ask'))
  if redis.call('HINCRBY', JOB .. job.id, 'failed_attempts', 1) >= ask.max_attempts then return false end
  for _, name in ipairs(ask.retry_on) do
    if name == outcome then return true end
  end
  return false
end

-- Until it is planned again it waits for its latest safe start, which allows for the whole job: safe, if early.
local function pause(job, ended)
  job.planned = nil
  redis.call('ZREM', LEASES, job.id)
  enter(job, 'scheduled', 'planned', '', 'planned_end', '', 'reason', 'Paused', 'worker_id', '')
  await_due(job)
  watch_deadline(job)
  announce('checkpointed', job, ended)
end

local function retry(job, ended, outcome)
  local at = real + backoff_ms
  redis.call('ZREM', LEASES, job.id)
  enter(job, 'pending', 'planned', '', 'planned_end', '', 'reason', 'RetryBackoff', 'retry_at', at, 'worker_id', '')
  redis.call('ZADD', BACKOFF, at, job.id)
  watch_deadline(job)
  announce('retried', job, ended, outcome)
  wake()
end

local function conclude(job, outcome, ended, ...)
  if outcome == 'succeeded' then
    end_job(job, 'succeeded', 'succeeded', ended, real, '', ...)
  elseif outcome == 'cancelled' or (job.cancel and outcome ~= 'lost') then
    end_job(job, 'cancelled', 'cancelled', ended, real, '', ...)
  else
    redis.call('HSET', JOB .. job.id, ...)
    if outcome == 'lost' then
      lose(job, ended, real, most_lost)
    elseif outcome == 'checkpointed' then
      pause(job, ended)
    elseif is_retried(job, outcome) then
      retry(job, ended, outcome)
    else
      end_job(job, 'failed', 'failed', ended, real, outcome)
    end
  end
end

local function finish(measurement, error, text)
  local id, fence, attempt, worker, outcome, started, ended, exit_code = unpack(lines_of(text))
  local job = fetch(id)
  if not job then return 0 end
  if redis.call('HSETNX', MEASUREMENTS .. id, fence, '1' .. measurement) == 0 then -- a repeat
    return tonumber(string.sub(redis.call('HGET', MEASUREMENTS .. id, fence), 1, 1))
  end
  local open = is_waiting(job) or is_active(job)
  if open and tonumber(fence) > job.fence then
    adopt(job, tonumber(fence), tonumber(attempt), worker, tonumber(started))
  end
  if tonumber(fence) ~= job.fence or not is_active(job) then
    redis.call('HSET', MEASUREMENTS .. id, fence, '0' .. measurement)
    if not open then redis.call('ZADD', UNBOOKED, real, id) end -- its receipt is revised
    return 0
  end
  conclude(job, outcome, tonumber(ended), 'started_at', started, 'exit_code', exit_code, 'error', error)
  freed = true
  return 1
end

local answers = {}
for a = 3, #ARGV, 3 do answers[#answers + 1] = finish(ARGV[a], ARGV[a + 1], ARGV[a + 2]) end
settle() -- what waits is counted next
if freed and redis.call('ZCARD', STATE .. 'ready') > 0 then wake() end -- there is room for those in line
return answers
