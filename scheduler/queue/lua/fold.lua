-- Add up a part of an array's tasks.
-- KEYS     1 root
-- ARGV     1 array id  2 first task by submission, from 0  3 last task
-- returns  the lead's id  2 how the lead ranks: the least leads  3 earliest start  4 latest end  5 grams, '' where a
--          task's are unknown; unknown times are ''; then for each state met: its name, how many tasks
local counts, start, finish, grams = {}, nil, nil, 0
local lead, lead_rank

local function stamp(class, moment) return class .. string.format('%015.0f', moment) end

-- The next to start, the longest running, one that failed, the last to end.
local function rank_of(state, begins, ended, latest)
  if ended then return stamp(state == 'failed' and '2' or '3', 1e14 - ended) end
  if state == 'running' or state == 'suspended' then return stamp('1', begins or 0) end
  return stamp('0', begins or latest)
end

for _, id in ipairs(redis.call('ZRANGE', ARRAY .. ARGV[1], ARGV[2], ARGV[3])) do
  local f = redis.call('HMGET', JOB .. id, 'state', 'latest', 'planned', 'planned_end', 'started_at', 'finished_at',
    'emissions_g', 'emitted_g')
  local state, ended = f[1], tonumber(f[6] or '')
  local waits = state == 'pending' or state == 'scheduled' or state == 'ready'
  local begins = not waits and tonumber(f[5] or '') or tonumber(f[3] or '')
  local ends = ended or tonumber(f[4] or '')
  counts[state] = (counts[state] or 0) + 1
  if begins and (not start or begins < start) then start = begins end
  if ends and (not finish or ends > finish) then finish = ends end
  local foreseen = ended and (f[5] or '') == '' and 0 or f[7] -- what ended without a start used nothing
  local its_grams = tonumber(f[8] or foreseen or '')
  grams = grams and its_grams and grams + its_grams
  local rank = rank_of(state, begins, ended, tonumber(f[2]))
  if not lead or rank < lead_rank then lead, lead_rank = id, rank end
end
if not lead then return {} end
local answer = {lead, lead_rank, start and int(start) or '', finish and int(finish) or '',
  grams and string.format('%.17g', grams) or ''}
for state, count in pairs(counts) do
  answer[#answer + 1], answer[#answer + 2] = state, count
end
return answer
