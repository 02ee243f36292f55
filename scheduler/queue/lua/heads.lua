-- Find rows, newest first: a job by itself, an array once, whichever of its tasks come first. A step at a time.
-- KEYS     1 root; then the indexes to walk: jobs by submission
-- ARGV     1 most rows  2 most steps  3 submission to go on below, or +inf  4 what the row's id begins with
--          5 `tasks`: each task is a row of its own; else ''; then the states that count
-- returns  submission to go on below, '' at the end; then for each row: its id, and 1 for an array's
local most, steps, below, beginning, apart = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5] == 'tasks'
local wanted = {}
for a = 6, #ARGV do wanted[ARGV[a]] = true end

local heads = {} -- the newest job of each index that has not been looked at
local function advance(index, from)
  heads[index] = redis.call('ZRANGE', KEYS[index], from, '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
end
for index = 2, #KEYS do advance(index, below == '+inf' and below or '(' .. below) end

local function newest()
  local best
  for index = 2, #KEYS do
    local head = heads[index]
    if head[1] and (not best or tonumber(head[2]) > tonumber(heads[best][2])) then best = index end
  end
  return best
end

-- The first submission of an array whose tasks follow one another without a gap; nil for another one.
local function beginning_of(array)
  local first = redis.call('ZRANGE', ARRAY .. array, 0, 0, 'WITHSCORES')[2]
  local last = redis.call('ZRANGE', ARRAY .. array, -1, -1, 'WITHSCORES')[2]
  if last - first + 1 == redis.call('ZCARD', ARRAY .. array) then return first end
end

local found, seen = {''}, {}
while #found < 2 * most + 1 and steps > 0 do
  local index = newest()
  if not index then return found end
  local id, at = heads[index][1], heads[index][2]
  local f = redis.call('HMGET', JOB .. id, 'state', 'array')
  local array = not apart and f[2] ~= '' and f[2]
  local name, passed = array or id, at
  if wanted[f[1]] and not seen[name] then
    seen[name] = true
    if string.sub(name, 1, #beginning) == beginning then
      found[#found + 1], found[#found + 2] = name, array and 1 or 0
    end
    passed = array and beginning_of(array) or at
  end
  for other = 2, #KEYS do
    local head = heads[other]
    if head[1] and tonumber(head[2]) >= tonumber(passed) then advance(other, '(' .. passed) end
  end
  found[1] = passed
  steps = steps - 1
end
return found
