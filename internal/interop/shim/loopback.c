/*
 * Preloaded into a client that offers direct SOCKS5 candidates (XEP-0260) only
 * on interfaces that are not loopback. The rig's network has nothing but
 * loopback, so getifaddrs() is answered anew:
 *
 *   - the file named by $RIG_NO_DIRECT exists: there is no interface at all;
 *   - otherwise: "lo" with the IPv4 address $RIG_ADDRESS, not marked loopback.
 *
 * The answer is one block of our own, so freeifaddrs() is ours as well.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

struct answer {
	struct ifaddrs entry;
	struct sockaddr_in addr, mask;
	char name[3];
};

int getifaddrs(struct ifaddrs **out)
{
	const char *flag = getenv("RIG_NO_DIRECT");
	const char *addr = getenv("RIG_ADDRESS");
	struct answer *a;

	*out = NULL;
	if (addr == NULL || (flag != NULL && access(flag, F_OK) == 0))
		return 0;
	a = calloc(1, sizeof *a);
	if (a == NULL)
		return -1; /* calloc has set errno */
	a->name[0] = 'l';
	a->name[1] = 'o';
	a->addr.sin_family = a->mask.sin_family = AF_INET;
	inet_pton(AF_INET, addr, &a->addr.sin_addr);
	inet_pton(AF_INET, "255.0.0.0", &a->mask.sin_addr);
	a->entry.ifa_name = a->name;
	a->entry.ifa_flags = IFF_UP | IFF_RUNNING;
	a->entry.ifa_addr = (struct sockaddr *)&a->addr;
	a->entry.ifa_netmask = (struct sockaddr *)&a->mask;
	*out = &a->entry;
	return 0;
}

void freeifaddrs(struct ifaddrs *list)
{
	free(list); /* the entry is the first member of its block */
}
