/** The script of the status page. It inserts everything as text, never as markup. */
export const statusPageScript = String.raw`'use strict';
const byId = (id) => document.getElementById(id);
const pageSize = 50;

function make(name, text, className) {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function age(since, now) {
  const s = Math.max(0, Math.round((Date.parse(now) - Date.parse(since)) / 1000));
  if (s < 120) return s + ' s';
  if (s < 7200) return Math.floor(s / 60) + ' min';
  if (s < 172800) return Math.floor(s / 3600) + ' h ' + (Math.floor(s / 60) % 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + (Math.floor(s / 3600) % 24) + ' h';
}

const count = (n) => n.toLocaleString('en');
const bytes = (n) => n < 10240 ? count(n) + ' B' : n < 10485760 ? count(Math.round(n / 1024)) + ' KiB' : count(Math.round(n / 1048576)) + ' MiB';

function fill(id, rows) {
  const body = byId(id).tBodies[0];
  body.replaceChildren(...rows.map((cells) => {
    const row = make('tr');
    for (const [text, className] of cells) row.append(make('td', text, className));
    return row;
  }));
}

const stateClass = { 'in force': 'good', failing: 'bad', behind: 'warn', waiting: 'warn' };

function showStatus(s) {
  document.title = 'vipwire on ' + s.node;
  byId('title').textContent = 'vipwire ' + s.version + ' on ' + s.node + ', mode ' + s.mode;
  const ready = s.notReady.length === 0;
  const blind = s.api.failures > 0 && Object.values(s.watches).some((w) => !w.watching);
  byId('state').className = ready && !blind ? 'good' : 'bad';
  byId('state').textContent = blind ? 'The API server does not answer: changes of the cluster are not seen.' : ready ? 'The rules for the present cluster are in force.' : 'Not ready: ' + s.notReady.join('; ') + '.';
  fill('families', Object.entries(s.families).map(([family, f]) => [
    [family], [f.state, stateClass[f.state]], [count(f.services), 'number'], [count(f.endpoints), 'number'],
    [Object.entries(f.rules).filter(([, n]) => n > 0).map(([table, n]) => table + ' ' + count(n)).join(', ')],
    [f.lastSync ? age(f.lastSync.at, s.now) + ' ago' : 'none yet'], [f.lastSync ? Math.round(f.lastSync.ms) + ' ms' : '', 'number'],
    [f.lastSync ? count(f.lastSync.rules) + ' rules, ' + bytes(f.lastSync.bytes) : ''],
  ]));
  fill('watches', Object.entries(s.watches).map(([name, w]) => [
    [name], [(w.watching ? 'watching' : 'not watching') + ' for ' + age(w.since, s.now), w.watching ? 'good' : 'bad'],
    [count(w.restarts), 'number'], [count(w.relists), 'number'], [w.lastEnd || ''],
  ]));
  byId('watches').hidden = s.api.host === '';
  byId('api').textContent = s.api.host === '' ? 'There is no API server.' : s.api.host + (s.api.failures > 0
    ? ': ' + s.api.failures + ' requests in a row failed (' + s.api.lastFailure + ')'
    : s.api.lastAnswer ? ': last answer ' + age(s.api.lastAnswer, s.now) + ' ago' : '');
  fill('process', [
    [['Up'], [age(s.started, s.now)]],
    [['Memory'], [bytes(s.memory.residentBytes) + ' resident, ' + bytes(s.memory.heapBytes) + ' heap in use']],
    [['Healthy'], [s.healthy ? 'yes' : 'no: changes wait too long', s.healthy ? 'good' : 'bad']],
    [['Node eligible'], [s.nodeEligible ? 'yes' : 'no: the node is leaving or unknown', s.nodeEligible ? 'good' : 'warn']],
    [['Drift repairs'], [count(s.drift.repairs) + (s.drift.last ? ', the last ' + age(s.drift.last, s.now) + ' ago' : '')]],
  ]);
  const trouble = [
    ...s.unanswered.map((q) =>
      [['unanswered', 'warn'], ['for ' + age(q.since, s.now), 'dim'], [q.question, 'name'], [q.reason]]),
    ...s.errors.map((e) => [['error', 'bad'], [age(e.at, s.now) + ' ago', 'dim'], ['', 'name'], [e.message]]),
    ...s.warnings.map((w) => [['warning', 'warn'], [age(w.at, s.now) + ' ago', 'dim'], [w.object, 'name'], [w.message]]),
  ];
  fill('trouble', trouble.length > 0 ? trouble.slice(0, 200) : [[['none', 'dim']]]);
  plot(s);
}

function plot(s) {
  const [width, height, left, bottom] = [1120, 200, 58, 24];
  const svg = byId('plot');
  const draw = (name, attributes, text) => {
    const element = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const end = Date.parse(s.now);
  const points = Object.entries(s.families).flatMap(([family, f]) => f.history.map((step) => [family, ...step]));
  const most = Math.max(10, ...points.map((point) => point[4]));
  const top = 10 ** Math.ceil(Math.log10(most));
  const x = (at) => left + (width - left - 12) * (1 - (end - at) / 3600000);
  // The axis is logarithmic from 1 ms, because a first sync takes seconds and later ones take milliseconds.
  const y = (ms) => height - bottom - (height - bottom - 14) * Math.log10(Math.max(1, ms)) / Math.log10(top);
  const parts = [];
  for (let ms = 1; ms <= top; ms *= 10) {
    parts.push(draw('line', { x1: left, x2: width - 12, y1: y(ms), y2: y(ms), class: 'grid' }));
    parts.push(draw('text', { x: left - 8, y: y(ms) + 4, 'text-anchor': 'end' }, ms < 1000 ? ms + ' ms' : ms / 1000 + ' s'));
  }
  for (let minutes = 60; minutes >= 0; minutes -= 10)
    parts.push(draw('text', { x: x(end - minutes * 60000), y: height - 6, 'text-anchor': minutes === 0 ? 'end' : 'middle' }, minutes === 0 ? 'now' : '-' + minutes + ' min'));
  for (const [family, at, syncs, mean, longest] of points) {
    if (x(at) < left) continue;
    const dot = draw('circle', { cx: x(at), cy: y(longest), r: 3, class: family });
    dot.append(draw('title', {}, family + ', ' + new Date(at).toLocaleTimeString() + ': ' + syncs + ' syncs, mean ' + mean + ' ms, longest ' + longest + ' ms'));
    parts.push(dot);
  }
  svg.replaceChildren(...parts);
}

const percent = (share) => (share * 100).toFixed(share < 0.1 ? 1 : 0) + ' %';

function endpointList(port) {
  const list = make('ul', undefined, 'endpoints');
  for (const endpoint of port.endpoints) {
    const item = make('li', undefined, endpoint.isLocal ? 'here' : '');
    item.append(make('code', endpoint.address), ' ');
    const shares = [
      ...(endpoint.share === undefined ? [] : [percent(endpoint.share)]),
      ...(endpoint.localShare === undefined ? [] : ['Local ' + percent(endpoint.localShare)]),
      ...(endpoint.isLocal ? ['on this node'] : []),
    ];
    item.append(make('span', shares.join(', '), 'dim'));
    list.append(item);
  }
  if (port.endpointCount > port.endpoints.length) list.append(make('li', 'and ' + count(port.endpointCount - port.endpoints.length) + ' more', 'dim'));
  if (port.endpointCount === 0) list.append(make('li', 'none', 'warn'));
  return list;
}

function serviceRow(service) {
  const row = make('tr');
  row.append(make('td', service.name, 'name'));
  const frontends = make('td');
  const endpoints = make('td');
  for (const port of service.ports) {
    const list = make('ul');
    for (const frontend of port.frontends) list.append(make('li', frontend));
    if (port.affinitySeconds > 0) list.append(make('li', 'session affinity ' + port.affinitySeconds + ' s', 'dim'));
    frontends.append(list);
    endpoints.append(endpointList(port));
  }
  row.append(frontends, endpoints);
  return row;
}

let asked = 0;
async function showServices(more) {
  const number = ++asked;
  const search = byId('search').value.trim();
  const body = byId('services').tBodies[0];
  const offset = more ? body.rows.length : 0;
  const query = new URLSearchParams({ search, offset, limit: pageSize });
  const list = await (await fetch('/vipwire/services?' + query)).json();
  // This answers an earlier search.
  if (number !== asked) return;
  const rows = list.services.map(serviceRow);
  if (more) body.append(...rows); else body.replaceChildren(...rows);
  byId('found').textContent = search === '' ? count(list.total) + ' Services' : count(list.found) + ' of ' + count(list.total) + ' Services';
  byId('more').hidden = body.rows.length >= list.found;
  history.replaceState(null, '', search === '' ? location.pathname : '#' + encodeURIComponent(search));
}

async function refresh() {
  try {
    showStatus(await (await fetch('/vipwire/status')).json());
  } catch (error) {
    byId('state').className = 'bad';
    byId('state').textContent = 'vipwire does not answer: what is shown below is out of date.';
  }
}

let typing;
byId('search').addEventListener('input', () => { clearTimeout(typing); typing = setTimeout(() => showServices(false), 150); });
byId('more').addEventListener('click', () => showServices(true));
byId('search').value = decodeURIComponent(location.hash.slice(1));
refresh();
showServices(false);
setInterval(() => { if (!document.hidden) refresh(); }, 2000);
`;
