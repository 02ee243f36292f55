-- Accept jobs, each whole or not at all. The same job again changes nothing.
-- KEYS     1 root
-- ARGV     1 number of specs S; S times: sha256, bytes
--          then for each job: ask (JSON), and lines of: id, sha256, class, rank (priority and latest start), latest
--          start, planned start, not_before, pool, drop time, project, array id, parents (separated by spaces), grid
--          time of submission, reason, planned end, grams as planned; what is unknown is empty
-- returns  one text a job: new | same | conflict | orphan <parent>
local bytes, refs = {}, {}
local at = 2
for _ = 1, tonumber(ARGV[1]) do
  bytes[ARGV[at]] = ARGV[at + 1]
  at = at + 2
end

-- Register with each parent that still runs. The number of those, whether one has failed, or the one that is unknown.
local function enrol(id, parents)
  local running, failed = {}, nil
  for parent in string.gmatch(parents, '%S+') do
    local state = redis.call('HGET', JOB .. parent, 'state')
    if not state then return 0, nil, parent end
    if state == 'failed' or state == 'cancelled' or state == 'expired' then failed = parent
    elseif state ~= 'succeeded' then running[#running + 1] = parent end
  end
  if not failed then
    for _, parent in ipairs(running) do redis.call('RPUSH', CHILDREN .. parent, id) end
  end
  return #running, failed, nil
end

local function accept(ask, text)
  local id, sha, class, rank, latest, planned, not_before, pool, drop_at, project, array, parents, now, reason,
    planned_end, emissions_g = unpack(lines_of(text))
  now = tonumber(now)
  local known = redis.call('HGET', JOB .. id, 'sha')
  if known then return known == sha and 'same' or 'conflict' end
  local waits_for, failed, unknown = 0, nil, nil
  if parents ~= '' then
    waits_for, failed, unknown = enrol(id, parents)
    if unknown then return 'orphan ' .. unknown end
  end
  local seq = redis.call('INCR', SEQUENCE)
  local state = 'pending'
  if waits_for > 0 then reason = 'WaitsForParents' elseif planned ~= '' then state = 'scheduled' end
  local job = {
    id = id, state = state, seq = seq, fence = 0, latest = tonumber(latest), planned = tonumber(planned),
    not_before = tonumber(not_before), drop_at = tonumber(drop_at), pool = pool, class = class,
    rank = rank .. string.format('%012.0f', seq) .. id,
  }
  local is_due = waits_for == 0 and not failed and due_of(job) <= now
  if is_due then state = 'ready' end
  redis.call('HSET', JOB .. id, 'ask', ask, 'sha', sha, 'state', state, 'seq', seq, 'fence', 0, 'attempts', 0,
    'class', class, 'rank', job.rank, 'latest', latest, 'planned', planned,
    'not_before', not_before, 'pool', pool, 'drop_at', drop_at, 'project', project, 'array', array,
    'parents', waits_for, 'reason', reason, 'planned_end', planned_end, 'emissions_g', emissions_g)
  redis.call('ZADD', STATE .. state, seq, id)
  redis.call('ZADD', PROJECT .. project, seq, id)
  if array ~= '' then redis.call('ZADD', ARRAY .. array, seq, id) end
  refs[sha] = (refs[sha] or 0) + 1
  announce('submitted', job, now)
  if failed then
    end_job(job, 'cancelled', 'cancelled', now, server_time(), 'ParentFailed: ' .. failed,
      'reason', 'ParentFailed', 'reason_detail', failed,
      'error', 'its parent ' .. failed .. ' ended as ' .. redis.call('HGET', JOB .. failed, 'state'))
  else
    if is_due then -- straight into line: the first lease need not move it
      job.state = 'ready'
      local because = new_reason(job, reason, now)
      if because then redis.call('HSET', JOB .. id, 'reason', because, 'reason_detail', '') end
      join_line(job, now)
      announce('due', job, now)
    elseif waits_for == 0 then
      await_due(job)
    end
    watch_deadline(job)
  end
  return 'new'
end

local answers = {}
for a = at, #ARGV, 2 do answers[#answers + 1] = accept(ARGV[a], ARGV[a + 1]) end
for sha, count in pairs(refs) do
  redis.call('HSETNX', SPEC .. sha, 'bytes', bytes[sha])
  redis.call('HINCRBY', SPEC .. sha, 'refs', count)
end
if next(refs) then wake() end
return answers
