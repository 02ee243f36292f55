-- Give waiting jobs their places in the plan. A ready job goes back to wait for a later start, unless its latest safe
-- start has passed. What has not changed is left alone, so that replanning is silent.
-- KEYS     1 root
-- ARGV     1 now; then for each place: id, start, end, pool or '', emissions_g or '', reason, detail
-- returns  how many jobs changed
local now = tonumber(ARGV[1])
local changed, sooner = 0, false

local FIELDS = {'planned', 'planned_end', 'pool', 'emissions_g', 'reason', 'reason_detail'}

-- A job that waits for its parents has a reason of its own; any other shows the plan's.
local function unchanged(job, a)
  local f = redis.call('HMGET', JOB .. job.id, unpack(FIELDS))
  local compared = job.parents > 0 and 4 or 6
  for i = 1, compared do
    if (f[i] or '') ~= ARGV[a + i] then return false end
  end
  return true
end

for a = 2, #ARGV, 7 do
  local job = fetch(ARGV[a])
  if job and is_waiting(job) and not unchanged(job, a) then
    local before = due_of(job)
    local plan = {}
    for i = 1, 4 do
      plan[2 * i - 1], plan[2 * i] = FIELDS[i], ARGV[a + i]
    end
    local function place(state)
      enter(job, state, unpack(plan))
      job.planned, job.pool = tonumber(ARGV[a + 1]), ARGV[a + 3]
    end
    local function explain()
      redis.call('HSET', JOB .. job.id, FIELDS[5], ARGV[a + 5], FIELDS[6], ARGV[a + 6])
    end
    if job.parents > 0 then
      place('pending') -- it goes on waiting for its parents
    elseif job.state == 'ready' and (tonumber(ARGV[a + 1]) <= now or now >= job.latest) then
      local moves = job.pool ~= ARGV[a + 3]
      if moves then leave_line(job) end
      place('ready')
      explain()
      if moves then
        join_line(job, now)
        sooner = true
      end
    else
      local event = 'planned'
      if job.state == 'ready' then
        leave_line(job)
        event = 'postponed'
      end
      place('scheduled')
      explain()
      if not redis.call('ZSCORE', BACKOFF, job.id) then await_due(job) end
      sooner = sooner or due_of(job) < before
      announce(event, job, now, ARGV[a + 5])
    end
    changed = changed + 1
  end
end
if sooner then wake() end
return changed
