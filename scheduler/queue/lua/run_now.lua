-- Make a waiting job due at once, in any pool, whatever its plan, backoff and not_before say. Parents come first.
-- KEYS     1 root
-- ARGV     1 job id  2 now
-- returns  the state after the call; '' for an unknown job
local job = fetch(ARGV[1])
if not job then return '' end
if not is_waiting(job) then return job.state end
local now = tonumber(ARGV[2])
redis.call('HSET', JOB .. job.id, 'planned', ARGV[2], 'planned_end', '', 'emissions_g', '', 'not_before', '', 'pool', '',
  'retry_at', '')
if job.parents > 0 then return job.state end
if job.state == 'ready' then
  leave_line(job)
  job.pool = ''
  join_line(job, now)
else
  redis.call('ZREM', WAITING, job.id)
  redis.call('ZREM', BACKOFF, job.id)
  job.planned, job.not_before, job.pool = now, nil, ''
  redis.call('HSET', JOB .. job.id, 'reason', 'StartsNow', 'reason_detail', '')
  become_ready(job, now)
end
wake()
return job.state
