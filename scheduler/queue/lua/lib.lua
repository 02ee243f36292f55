-- What the transitions share. Put before each script, after the names of keys.py (JOB, STATE, ... in capitals).
--
-- Times are milliseconds since 1970: `now` is grid time, handed in; `real` is the server's own TIME.
-- A flat field that is absent or '' is unknown. Numbers beyond 1e14 lose digits in `..`: write them with int().

local EVENTS_KEPT = 100000
local RANK_LENGTH = 30 -- priority 3, latest safe start 15, submission 12 digits; then the id

local function int(number) return string.format('%.0f', number) end

-- One argument holds several short fields, one a line: parsing many arguments is what costs a client its time.
local function lines_of(text)
  local lines, count = {}, 0
  for line in string.gmatch(text .. '\n', '([^\n]*)\n') do
    count = count + 1
    lines[count] = line
  end
  return lines
end

-- Real time in milliseconds and in microseconds.
local function server_time()
  local time = redis.call('TIME')
  local micros = time[1] * 1000000 + time[2]
  return math.floor(micros / 1000), micros
end

-- Grid time of a real moment: the same, but for a replay.
local function grid_time(real)
  local clock = redis.call('HMGET', CLOCK, 'real_epoch_ms', 'grid_epoch_ms', 'speed')
  if not clock[1] then return real end
  return math.floor(clock[2] + (real - clock[1]) * clock[3])
end

local function announce(type, job, at, detail)
  redis.call('XADD', EVENTS, 'MAXLEN', '~', EVENTS_KEPT, '*', 'type', type, 'job', job.id,
    'state', job.state, 'fence', int(job.fence), 'at', at, 'detail', detail or '')
end

-- Something may be leasable sooner than those who wait believe.
local function wake() redis.call('XADD', WAKE, 'MAXLEN', 1, '*', 'w', 1) end

-- The fields that scripts look at, by name; nil for an unknown job.
local function fetch(id)
  local f = redis.call('HMGET', JOB .. id, 'state', 'seq', 'fence', 'attempts', 'pool', 'class', 'rank',
    'latest', 'planned', 'not_before', 'parents', 'cancel', 'line', 'drop_at')
  if not f[1] then return nil end
  return {
    id = id, state = f[1], seq = f[2], fence = tonumber(f[3]), attempts = tonumber(f[4]), pool = f[5] or '',
    class = f[6], rank = f[7], latest = tonumber(f[8]), planned = tonumber(f[9] or ''),
    not_before = tonumber(f[10] or ''), parents = tonumber(f[11] or '') or 0, cancel = f[12] == '1', line = f[13],
    drop_at = tonumber(f[14] or ''),
  }
end

-- A job as a reader gets it: what was asked for, and where it stands (wire.py names the fields in this order).
local STANDING = {'state', 'reason', 'reason_detail', 'planned', 'planned_end', 'pool', 'emissions_g', 'fence',
  'attempts', 'failed_attempts', 'lost_attempts', 'worker_id', 'cancel', 'retry_at', 'started_at', 'finished_at',
  'exit_code', 'error', 'sha', 'ask'}

local function portray(id, expiry)
  local f = redis.call('HMGET', JOB .. id, unpack(STANDING))
  local ask = table.remove(f) -- JSON already
  if not ask then return false, false end
  f[#f + 1] = expiry or redis.call('ZSCORE', LEASES, id)
  return ask, cjson.encode(f)
end

-- Indexes are told of many jobs at once, when the transition is over (scripts.py sees to that): a call for each is what
-- costs. What a script reads back within itself must not be left for later.
local moved, additions, removals = {}, {}, {} -- moved: a job's state before, its state now
local function add_later(key, score, member)
  local list = additions[key]
  if not list then list = {}; additions[key] = list end
  list[#list + 1], list[#list + 2] = score, member
end

local function remove_later(key, member)
  local list = removals[key]
  if not list then list = {}; removals[key] = list end
  list[#list + 1] = member
end

local function in_parts(command, lists)
  for key, list in pairs(lists) do
    for first = 1, #list, 1000 do -- as many arguments as Lua passes safely; even, for pairs
      redis.call(command, key, unpack(list, first, math.min(first + 999, #list)))
    end
  end
end

local function settle()
  for id, move in pairs(moved) do
    if move.from ~= move.to then
      remove_later(STATE .. move.from, id)
      add_later(STATE .. move.to, move.seq, id)
    end
  end
  in_parts('ZREM', removals)
  in_parts('ZADD', additions)
  moved, additions, removals = {}, {}, {}
end

-- Move a job to another state, and set further fields with it.
local function enter(job, state, ...)
  redis.call('HSET', JOB .. job.id, 'state', state, ...)
  if job.state ~= state then
    local move = moved[job.id]
    if move then move.to = state else moved[job.id] = {from = job.state, to = state, seq = job.seq} end
    job.state = state
  end
end

local function is_waiting(job) return job.state == 'pending' or job.state == 'scheduled' or job.state == 'ready' end
local function is_active(job) return job.state == 'running' or job.state == 'suspended' end

-- When a waiting job is due, in grid time: at its planned start, at the latest at its latest safe start, never before
-- the user's not_before.
local function due_of(job)
  local due = job.latest
  if job.planned and job.planned < due then due = job.planned end
  if job.not_before and job.not_before > due then due = job.not_before end
  return due
end

-- A ready job waits in the line of its class: in its pool's, or in everybody's once its latest safe start has passed.
local entered = {} -- lines that somebody joined in this call
local function join_line(job, now)
  local pool = job.pool
  if now >= job.latest then pool = '' end
  local name = pool .. '|' .. job.class
  redis.call('ZADD', LINE .. name, 0, job.rank)
  if not entered[name] then
    redis.call('SADD', LINES .. pool, job.class)
    entered[name] = true
  end
  if pool ~= '' then redis.call('ZADD', PINNED, job.latest, job.id) end
  if (job.line or '') ~= pool then redis.call('HSET', JOB .. job.id, 'line', pool) end
  job.line = pool
end

local function leave_line(job)
  local line = job.line or ''
  redis.call('ZREM', LINE .. line .. '|' .. job.class, job.rank)
  if line ~= '' then redis.call('ZREM', PINNED, job.id) end
end

-- Take a waiting job out of wherever it waits.
local function stop_waiting(job)
  if job.state == 'ready' then
    leave_line(job)
  else
    redis.call('ZREM', WAITING, job.id)
    redis.call('ZREM', BACKOFF, job.id)
  end
  if job.drop_at then redis.call('ZREM', DROPS, job.id) end
end

-- What a plan says of a job that is still true once the job is due.
local LASTING = {StartsNow = true, NoWorker = true, NoFreeGpu = true, NoFreeCapacity = true}

-- Why a job that is due waits, where the reason it had before no longer holds; nil where it still does.
local function new_reason(job, reason, now)
  if job.planned and LASTING[reason] then return nil end
  return now >= job.latest and 'DeadlineForcesStart' or ''
end

-- From pending or scheduled to ready. The caller has taken it out of WAITING.
local function become_ready(job, now)
  local reason = new_reason(job, redis.call('HGET', JOB .. job.id, 'reason'), now)
  if reason then enter(job, 'ready', 'reason', reason, 'reason_detail', '') else enter(job, 'ready') end
  join_line(job, now)
  announce('due', job, now)
end

-- Let a pending or scheduled job wait for its due time.
local function await_due(job) redis.call('ZADD', WAITING, due_of(job), job.id) end

-- A job whose user wants it dropped when late is watched while it waits.
local function watch_deadline(job)
  if job.drop_at then redis.call('ZADD', DROPS, job.drop_at, job.id) end
end

-- A job whose last parent has succeeded.
local function release(job, at)
  local reason = redis.call('HGET', JOB .. job.id, 'reason')
  if reason == 'WaitsForParents' then reason = 'AwaitsPlan' end
  local state, event = 'pending', 'released'
  if job.planned then state, event = 'scheduled', 'planned' end
  enter(job, state, 'reason', reason, 'reason_detail', '')
  await_due(job)
  announce(event, job, at)
end

-- End a job for good and settle its children: success releases those whose last parent it was, anything else cancels
-- them and theirs. Further arguments are fields to set. A waiting job must have stopped waiting before.
local function end_job(job, state, event, at, real, detail, ...)
  enter(job, state, 'finished_at', at, 'ended_real', real, 'reason', '', 'reason_detail', '', ...)
  remove_later(LEASES, job.id)
  add_later(UNBOOKED, real, job.id)
  announce(event, job, at, detail)
  local ended, settled, released = {job}, 0, false
  while settled < #ended do -- a list, not recursion: a chain of jobs may be long
    settled = settled + 1
    local parent = ended[settled]
    local children = redis.call('LRANGE', CHILDREN .. parent.id, 0, -1)
    if #children > 0 then redis.call('DEL', CHILDREN .. parent.id) end
    for _, id in ipairs(children) do
      local child = fetch(id)
      if child and child.state == 'pending' and child.parents > 0 then
        if parent.state == 'succeeded' then
          if redis.call('HINCRBY', JOB .. id, 'parents', -1) == 0 then
            release(child, at)
            released = true
          end
        else
          stop_waiting(child)
          enter(child, 'cancelled', 'finished_at', at, 'ended_real', real, 'reason', 'ParentFailed',
            'reason_detail', parent.id, 'error', 'its parent ' .. parent.id .. ' ended as ' .. parent.state)
          redis.call('ZADD', UNBOOKED, real, id)
          announce('cancelled', child, at, 'ParentFailed: ' .. parent.id)
          ended[#ended + 1] = child
        end
      end
    end
  end
  if released then wake() end
end

-- An attempt is gone with its worker: back in line, or a dead letter after too many of them.
local function lose(job, now, real, most)
  redis.call('ZREM', LEASES, job.id)
  local lost = redis.call('HINCRBY', JOB .. job.id, 'lost_attempts', 1)
  if job.cancel then
    end_job(job, 'cancelled', 'cancelled', now, real, 'its attempt was lost')
  elseif lost > most then
    end_job(job, 'failed', 'failed', now, real, 'LeaseLost',
      'error', 'lost ' .. lost .. ' attempts with their workers')
  else
    enter(job, 'ready', 'reason', 'LeaseLost', 'reason_detail', '', 'worker_id', '')
    join_line(job, now)
    watch_deadline(job)
    announce('lost', job, now)
    wake()
  end
end

-- A job is running under a newer fence than is known here: this server's data was rolled back. Believe the worker.
local function adopt(job, fence, attempt, worker, at)
  if is_waiting(job) then stop_waiting(job) end
  job.fence = fence
  if attempt > job.attempts then job.attempts = attempt end
  local state = is_active(job) and job.state or 'running'
  enter(job, state, 'fence', int(fence), 'attempts', job.attempts, 'worker_id', worker, 'reason', '', 'reason_detail', '')
  redis.call('HSETNX', JOB .. job.id, 'started_at', at)
  announce('adopted', job, at)
end
