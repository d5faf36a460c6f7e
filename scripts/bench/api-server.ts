/** The API server of a bench, in a process of its own. Its parent sends requests over IPC; it replies when the objects are stored. */
import { FakeApiServer } from '../../test/support/fake-api-server';
import type { FakeObject } from '../../test/support/fake-api-store';
import { realPods } from './addresses';
import type { ApiReply, ApiRequest } from './api-requests';
import {
  bigSlices,
  burstServices,
  type ClusterSpec,
  endpointsOf,
  makeCluster,
  makeSlice,
  movingService,
  serviceName,
} from './cluster-objects';

let spec: ClusterSpec | undefined;

function* changes(request: Exclude<ApiRequest, { kind: 'fill' }>, of: ClusterSpec): Generator<FakeObject> {
  switch (request.kind) {
    case 'move':
      yield makeSlice(movingService, [realPods(of.network)[request.pod]]);
      break;
    case 'burst':
      for (const service of burstServices(of, request.slices))
        yield makeSlice(serviceName(service), endpointsOf(of, service, request.turn));

      break;
    case 'big': {
      const [first] = bigSlices(of.bigService ?? 0, request.turn);
      if (first !== undefined) yield first;
    }
  }
}

async function serve(): Promise<void> {
  const server = await FakeApiServer.start();
  const answer = (request: ApiRequest): ApiReply => {
    let objects: FakeObject[];
    if (request.kind === 'fill') {
      spec = request.spec;
      for (const object of makeCluster(spec)) server.put(object);
      objects = [];
    } else {
      if (spec === undefined) throw new Error('the first request has to be fill');
      // The objects are made first, so that nothing but writes happens between the first and the last of them.
      objects = [...changes(request, spec)];
    }
    for (const object of objects) server.put(object);
    return { atMs: Number(process.hrtime.bigint()) / 1e6, port: Number(new URL(server.url).port) };
  };
  process.on('message', (request: ApiRequest) => process.send?.(answer(request)));
  process.on('disconnect', () => process.exit());
  process.send?.({ atMs: 0, port: 0 } satisfies ApiReply);
}

void serve();
