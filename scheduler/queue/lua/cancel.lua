-- Cancel a job: at once while it waits, through its worker while it runs, not at all once it has ended.
-- KEYS     1 root
-- ARGV     1 job id  2 now
-- returns  the state after the call; '' for an unknown job
local job = fetch(ARGV[1])
if not job then return '' end
if is_waiting(job) then
  stop_waiting(job)
  local real = server_time()
  redis.call('HSET', JOB .. job.id, 'cancel', 1)
  end_job(job, 'cancelled', 'cancelled', ARGV[2], real)
elseif is_active(job) and not job.cancel then
  redis.call('HSET', JOB .. job.id, 'cancel', 1)
  announce('cancel_requested', job, ARGV[2])
end
return job.state
