// The JavaScript client against three nodes; `node --test` runs it, ZOOKEEPER_HOSTS names them.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import zookeeper from 'node-zookeeper-client'

const { ACL, CreateMode, Event, Exception } = zookeeper
const seconds = 20
let client, path

// The client is written for callbacks; each of its calls becomes a promise here.
const call = (name, ...parameters) =>
  new Promise((resolve, reject) =>
    client[name](...parameters, (error, ...answers) => (error ? reject(error) : resolve(answers))))

const connect = async (options = {}) => {
  const connecting = zookeeper.createClient(process.env.ZOOKEEPER_HOSTS, { sessionTimeout: 10_000, ...options })
  const connected = new Promise((resolve) => connecting.once('connected', resolve))
  connecting.connect()
  await connected
  return connecting
}

// Reads are local: what another session wrote shows up on this one's node a moment later.
const becomesVisible = async (name) => {
  while (!(await call('exists', name, null))[0]) await new Promise((resolve) => setTimeout(resolve, 10))
}

before(async () => { client = await connect() })
beforeEach(() => { path = `/node-${randomUUID()}` })
after(() => client.close())

test('creates, reads, writes and deletes', { timeout: seconds * 1000 }, async () => {
  assert.deepEqual(await call('create', path, Buffer.from('one')), [path])
  const [data, stat] = await call('getData', path, null)
  assert.equal(data.toString(), 'one')
  assert.equal(stat.version, 0)
  const [changed] = await call('setData', path, Buffer.from('two'), 0)
  assert.equal(changed.version, 1)
  await assert.rejects(call('setData', path, Buffer.from('three'), 0), { code: Exception.BAD_VERSION })
  await call('remove', path, -1)
  await assert.rejects(call('getData', path, null), { code: Exception.NO_NODE })
})

test('makes whole paths and lists children', { timeout: seconds * 1000 }, async () => {
  await call('mkdirp', `${path}/a/b`)
  await call('create', `${path}/s-`, null, ACL.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL)
  const [children] = await call('getChildren', path, null)
  assert.deepEqual(children.sort(), ['a', 's-0000000001'])
})

test('is told of changes', { timeout: seconds * 1000 }, async () => {
  await call('create', path, null)
  const changed = new Promise((resolve) => client.getData(path, resolve, () => {}))
  await call('setData', path, Buffer.from('x'), -1)
  assert.equal((await changed).getType(), Event.NODE_DATA_CHANGED)
  const gone = new Promise((resolve) => client.exists(path, resolve, () => {}))
  await call('remove', path, -1)
  assert.equal((await gone).getType(), Event.NODE_DELETED)
})

test('commits transactions whole', { timeout: seconds * 1000 }, async () => {
  const commit = (transaction) => promisify(transaction.commit.bind(transaction))()
  await commit(client.transaction().create(path).create(`${path}/child`).setData(path, Buffer.from('x'), 0))
  await assert.rejects(commit(client.transaction().remove(`${path}/child`, -1).check(path, 9)))
  assert.ok((await call('exists', `${path}/child`, null))[0])
})

test('keeps others out by digest', { timeout: seconds * 1000 }, async () => {
  const owner = await connect()
  owner.addAuthInfo('digest', Buffer.from('bob:builder'))
  await promisify(owner.create.bind(owner))(path, Buffer.from('secret'), ACL.CREATOR_ALL_ACL, CreateMode.PERSISTENT)
  await becomesVisible(path)
  await assert.rejects(call('getData', path, null), { code: Exception.NO_AUTH })
  owner.close()
})

test('ephemerals go with their session', { timeout: seconds * 1000 }, async () => {
  const owner = await connect()
  await promisify(owner.create.bind(owner))(path, null, ACL.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL)
  await becomesVisible(path)
  const gone = new Promise((resolve) => client.exists(path, resolve, () => {}))
  owner.close()
  assert.equal((await gone).getType(), Event.NODE_DELETED)
})
