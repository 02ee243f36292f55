-- Accept jobs, each whole or not at all. The same job again changes nothing.
-- KEYS     1 root
-- ARGV     1 number of specs S; S times: sha256, bytes
--          then for each job: id, sha256, ask (JSON), class, rank (priority and latest start), latest start,
--          planned start or '', not_before or '', pool or '', drop time or '', project, array id or '',
--          parents (separated by spaces), grid time of submission, reason or ''
-- returns  one text a job: new | same | conflict | orphan <parent>
local FIELDS = 15
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

local function accept(a)
  local id, sha = ARGV[a], ARGV[a + 1]
  local known = redis.call('HGET', JOB .. id, 'sha')
  if known then return known == sha and 'same' or 'conflict' end
  local waits_for, failed, unknown = 0, nil, nil
  if ARGV[a + 12] ~= '' then
    waits_for, failed, unknown = enrol(id, ARGV[a + 12])
    if unknown then return 'orphan ' .. unknown end
  end
  local seq = redis.call('INCR', SEQUENCE)
  local now, reason, state = ARGV[a + 13], ARGV[a + 14], 'pending'
  if waits_for > 0 then reason = 'WaitsForParents' elseif ARGV[a + 6] ~= '' then state = 'scheduled' end
  local rank = ARGV[a + 4] .. string.format('%012.0f', seq) .. id
  redis.call('HSET', JOB .. id, 'ask', ARGV[a + 2], 'sha', sha, 'state', state, 'seq', seq, 'fence', 0,
    'attempts', 0, 'class', ARGV[a + 3], 'rank', rank, 'latest', ARGV[a + 5], 'planned', ARGV[a + 6],
    'not_before', ARGV[a + 7], 'pool', ARGV[a + 8], 'drop_at', ARGV[a + 9], 'project', ARGV[a + 10],
    'array', ARGV[a + 11], 'parents', waits_for, 'reason', reason)
  redis.call('ZADD', STATE .. state, seq, id)
  redis.call('ZADD', PROJECT .. ARGV[a + 10], seq, id)
  if ARGV[a + 11] ~= '' then redis.call('ZADD', ARRAY .. ARGV[a + 11], seq, id) end
  refs[sha] = (refs[sha] or 0) + 1
  local job = {
    id = id, state = state, seq = seq, fence = 0, latest = tonumber(ARGV[a + 5]), planned = tonumber(ARGV[a + 6]),
    not_before = tonumber(ARGV[a + 7]), drop_at = tonumber(ARGV[a + 9]),
  }
  announce('submitted', job, now)
  if failed then
    end_job(job, 'cancelled', 'cancelled', now, server_time(), 'ParentFailed: ' .. failed,
      'reason', 'ParentFailed', 'reason_detail', failed, 'error', 'its parent ' .. failed .. ' had not succeeded')
  else
    if waits_for == 0 then await_due(job) end
    watch_deadline(job)
  end
  return 'new'
end

local answers = {}
for a = at, #ARGV, FIELDS do answers[#answers + 1] = accept(a) end
for sha, count in pairs(refs) do
  redis.call('HSETNX', SPEC .. sha, 'bytes', bytes[sha])
  redis.call('HINCRBY', SPEC .. sha, 'refs', count)
end
if next(refs) then wake() end
return answers
