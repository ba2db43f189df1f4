// A certified OpenID provider with the club's members behind it, on a free port of this machine.
//
// Arguments: the folder it is installed in, and the redirect address of Plumbline.  The first line it
// prints is its own address.  Refresh tokens rotate; one that comes twice ends the whole sign-in.

import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [folder, redirect] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`).href);

const scopes = ["openid", "offline_access", "members.read", "members.write"];
const asked = []; // what came to the token endpoint: grant type and what was answered
const members = [];

const server = createServer();
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: "plumbline-app",
      client_secret: "client-secret-canary-5e6f7a8b",
      redirect_uris: [redirect],
      grant_types: ["authorization_code", "refresh_token"],
      token_endpoint_auth_method: "client_secret_post",
    },
    {
      client_id: "robot",
      client_secret: "robot-secret-canary-1f2e3d4c",
      redirect_uris: [],
      response_types: [],
      grant_types: ["client_credentials"],
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  scopes,
  cookies: { keys: ["only for tests"] },
  features: { devInteractions: { enabled: true }, clientCredentials: { enabled: true }, revocation: { enabled: true } },
  rotateRefreshToken: true,
  ttl: { AccessToken: 3600, ClientCredentials: 3600, RefreshToken: 86400, Grant: 86400, Session: 86400, Interaction: 3600 },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

const grants = new Set();
for (const kind of ["access_token.saved", "refresh_token.saved"]) {
  provider.on(kind, (token) => grants.add(token.grantId));
}
provider.on("grant.success", ({ oidc }) => asked.push([oidc.params.grant_type, "token"]));
provider.on("grant.error", ({ oidc }, error) => asked.push([oidc?.params?.grant_type ?? "", error.error]));
provider.on("revocation.error", (_, error) => asked.push(["revocation", error.error]));

// What somebody does who takes the access away in the settings of the account.
async function takeAway() {
  for (const id of grants) {
    await Promise.all(["AccessToken", "RefreshToken"].map((kind) => provider[kind].revokeByGrantId(id)));
    await (await provider.Grant.find(id))?.destroy();
  }
  grants.clear();
}

async function tokenOf(request) {
  const text = (request.headers.authorization ?? "").replace(/^Bearer /, "");
  return (await provider.AccessToken.find(text)) ?? (await provider.ClientCredentials.find(text));
}

async function readBody(request) {
  let text = "";
  for await (const part of request) text += part;
  return text ? JSON.parse(text) : null;
}

async function club(request) {
  const token = await tokenOf(request);
  if (!token) return [401, { error: "This token is not known." }];
  if (request.url === "/api/me") return [200, { name: token.accountId ?? token.clientId }];
  if (!token.scopes.has("members.write")) return [403, { error: "members.write is needed." }];
  members.push(await readBody(request));
  return [200, { id: members.length }];
}

async function answer(request) {
  if (request.url === "/tests/asked") return [200, { asked, members }];
  if (request.url === "/tests/take-away") return [200, { ended: await takeAway() }];
  return club(request);
}

const callback = provider.callback();
server.on("request", async (request, response) => {
  if (!/^\/(api|tests)\//.test(request.url)) return callback(request, response);
  const [status, document] = await answer(request).catch((error) => [500, { error: String(error) }]);
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(document));
});

console.log(issuer);
